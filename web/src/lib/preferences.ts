/** Choices of a person that hold on this device at once and, for the language, on the server too. */
import { speak } from './api';
import { language, type Locale } from './i18n.svelte';
import { session } from './session.svelte';

export async function chooseLanguage(locale: Locale): Promise<void> {
  speak(locale); // before the words change: whatever a page asks for anew comes in the new language
  await language.use(locale);
  try {
    localStorage.setItem('camhub.locale.chosen', '1');
  } catch {
    // without storage the choice lasts for this page
  }
  if (session.state === 'in' && session.user && session.user.locale !== locale) {
    try {
      await session.update({ locale });
    } catch {
      // the page already speaks it; the server's letters follow at the next choice
    }
  }
}

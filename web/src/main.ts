import './styles/fonts.css';
import './styles/tokens.css';
import './styles/base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { speak } from './lib/api';
import { language, storedLocale } from './lib/i18n.svelte';
import { session } from './lib/session.svelte';

const locale = storedLocale();
speak(locale);
// words and sign-in state are asked for side by side: the first paint waits for the slower of two local answers
await Promise.all([language.use(locale), session.load()]);
const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');
mount(App, { target });

/** Light, dark, or as the device says; kept per device. */
export type Choice = 'auto' | 'light' | 'dark';

const system = matchMedia('(prefers-color-scheme: dark)');

class Theme {
  choice = $state<Choice>(read());
  #system = $state(system.matches);
  dark = $derived(this.choice === 'dark' || (this.choice === 'auto' && this.#system));

  constructor() {
    system.addEventListener('change', () => {
      this.#system = system.matches;
      this.#apply();
    });
  }

  set(choice: Choice): void {
    this.choice = choice;
    try {
      localStorage.setItem('camhub.theme', choice);
    } catch {
      // without storage the choice lasts for this page
    }
    this.#apply();
  }
  toggle(): void {
    this.set(this.dark ? 'light' : 'dark');
  }
  #apply(): void {
    document.documentElement.dataset['theme'] = this.dark ? 'dark' : 'light';
  }
}

function read(): Choice {
  try {
    const stored = localStorage.getItem('camhub.theme');
    return stored === 'light' || stored === 'dark' ? stored : 'auto';
  } catch {
    return 'auto';
  }
}

export const theme = new Theme();

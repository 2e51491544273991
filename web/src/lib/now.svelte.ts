/** One ticking clock for all relative times of the page. */
class Now {
  at = $state.raw(new Date());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.at = new Date();
    }, 1000);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.at = new Date();
    });
  }
}

export const now = new Now();

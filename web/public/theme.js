// Runs before the first paint, so that the page never flashes in the wrong theme or language.
(function () {
  try {
    var theme = localStorage.getItem('camhub.theme');
    var dark = theme === 'dark' || (theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    document.documentElement.lang = localStorage.getItem('camhub.locale') === 'en' ? 'en' : 'vi';
  } catch (error) {
    document.documentElement.dataset.theme = 'light';
  }
})();

// One tab of a headless Firefox over WebDriver BiDi (puppeteer-core), driven by lines of JSON: {"goto": url} | {"call": function}.
// Arguments: where the npm packages are, Firefox, a profile folder, its preferences as JSON.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [packages, firefox, profile, preferences] = process.argv.slice(2);
const { default: puppeteer } = await import(pathToFileURL(createRequire(`${packages}/`).resolve('puppeteer-core')).href);
const browser = await puppeteer.launch({
  browser: 'firefox',
  executablePath: firefox,
  headless: true,
  userDataDir: profile,
  extraPrefsFirefox: JSON.parse(preferences),
  timeout: 90_000,
  protocolTimeout: 120_000,
});
const say = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
try {
  const page = (await browser.pages())[0] ?? (await browser.newPage());
  await page.setViewport({ width: 1280, height: 800 });
  say({ value: await browser.version() });
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    try {
      if (asked.goto) say({ value: (await page.goto(asked.goto, { waitUntil: 'load', timeout: 60_000 }))?.status() ?? null });
      else if (asked.shot) say({ value: (await page.screenshot({ path: asked.shot })).length });
      else say({ value: (await page.evaluate(`(${asked.call})()`)) ?? null });
    } catch (error) {
      say({ error: String(error) });
    }
  }
} finally {
  await browser.close();
}

// Compares the two catalogues and what the pages ask for. Any difference ends the build.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (locale) => JSON.parse(readFileSync(join(root, '../hub/locale', locale, 'ui.json'), 'utf8'));
const vi = read('vi');
const en = read('en');
const faults = [];

const placeholders = (text) => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]))].sort();
const same = (a, b) => a.length === b.length && a.every((name, index) => name === b[index]);

for (const key of Object.keys(vi)) if (!(key in en)) faults.push(`${key}: missing in English`);
for (const key of Object.keys(en)) if (!(key in vi)) faults.push(`${key}: missing in Vietnamese, the source language`);
for (const [key, text] of Object.entries(vi)) {
  if (typeof text !== 'string') faults.push(`${key}: Vietnamese has no plural`);
  else if (!text.trim()) faults.push(`${key}: empty in Vietnamese`);
  else if (text !== text.normalize('NFC')) faults.push(`${key}: Vietnamese is not in NFC`);
  const told = en[key];
  if (told === undefined) continue;
  const forms = typeof told === 'string' ? [told] : [told.other, told.one];
  if (forms.some((form) => typeof form !== 'string' || !form.trim())) faults.push(`${key}: English needs one and other, neither empty`);
  else {
    const expected = placeholders(String(text));
    if (!same(expected, placeholders(forms[0]))) faults.push(`${key}: placeholders differ: {${expected}} and {${placeholders(forms[0])}}`);
    // the form for one may leave out {n}
    if (forms[1] && !same(expected.filter((name) => name !== 'n'), placeholders(forms[1]).filter((name) => name !== 'n'))) {
      faults.push(`${key}: placeholders of "one" differ`);
    }
  }
}

const sources = [];
const walk = (folder) => {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) walk(path);
    else if (/\.(svelte|ts)$/.test(entry.name)) sources.push(readFileSync(path, 'utf8'));
  }
};
walk(join(root, 'src'));
walk(join(root, 'player/src'));
const code = sources.join('\n');
const used = new Set([...code.matchAll(/['"`]([a-z_]+\.[A-Za-z0-9_]+)['"`]/g)].map((match) => match[1]));
const families = new Set([...code.matchAll(/\btk\(\s*['"]([a-z_]+)['"]/g)].map((match) => match[1]));
for (const match of code.matchAll(/\bt\(`([a-z_]+)\.\$\{/g)) families.add(match[1]);
families.add('sharing').add('decision').add('health'); // filter names are prefixes too
for (const match of code.matchAll(/\bt\(\s*['"]([^'"]+)['"]/g)) if (!(match[1] in vi)) faults.push(`${match[1]}: asked for by a page, in no catalogue`);
for (const family of families) if (!Object.keys(vi).some((key) => key.startsWith(`${family}.`))) faults.push(`${family}.*: asked for by a page, in no catalogue`);
for (const key of Object.keys(vi)) if (!used.has(key) && !families.has(key.split('.')[0])) faults.push(`${key}: used by no page`);

if (faults.length) {
  console.error(`hub/locale/*/ui.json: ${faults.length} faults\n  ${faults.join('\n  ')}`);
  process.exit(1);
}
console.log(`hub/locale: ${Object.keys(vi).length} texts in both languages`);

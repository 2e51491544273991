// The first load of the console, gzipped and with fonts, must stay under 250 kB; the player for other pages under 60 kB.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const LIMIT_KB = 250;
const PLAYER_KB = 60;
const dist = fileURLToPath(new URL('../../hub/web/dist', import.meta.url));
const html = readFileSync(join(dist, 'index.html'), 'utf8');
const files = new Set(['index.html', 'theme.js']);
for (const match of html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)) files.add(match[1]);
for (const name of readdirSync(join(dist, 'assets'))) if (/^(ui-|jetbrains-mono)/.test(name)) files.add(`assets/${name}`);
let total = 0;
for (const name of files) {
  const bytes = readFileSync(join(dist, name));
  total += /\.woff2$/.test(name) ? bytes.length : gzipSync(bytes).length;
}
const size = (total / 1000).toFixed(0);
if (total / 1000 > LIMIT_KB) {
  console.error(`first load: ${size} kB, more than ${LIMIT_KB} kB`);
  process.exit(1);
}
console.log(`first load: ${size} kB gzip with fonts, of ${LIMIT_KB} kB`);

const player = (gzipSync(readFileSync(join(dist, 'player/camhub-player.js'))).length / 1000).toFixed(0);
if (Number(player) > PLAYER_KB) {
  console.error(`camhub-player.js: ${player} kB, more than ${PLAYER_KB} kB`);
  process.exit(1);
}
console.log(`camhub-player.js: ${player} kB gzip, of ${PLAYER_KB} kB`);

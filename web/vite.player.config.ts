import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { svelte, vitePreprocess } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vite';

/** The words of the player out of the catalogues of the interface: one source, and only what the element says. */
function words(): Plugin {
  const name = /^virtual:camhub-words\/(vi|en)$/;
  return {
    name: 'camhub-words',
    resolveId: (id) => (name.test(id) ? `\0${id}` : undefined),
    load(id) {
      const locale = name.exec(id.slice(1))?.[1];
      if (!id.startsWith('\0') || !locale) return undefined;
      const file = fileURLToPath(new URL(`../hub/locale/${locale}/ui.json`, import.meta.url));
      this.addWatchFile(file);
      const all = Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>);
      return `export default ${JSON.stringify(Object.fromEntries(all.filter(([key]) => /^(player|viewable)\./.test(key))))}`;
    },
  };
}

// One ES module with its styles inside, at an address that does not change: other sites name it.
export default defineConfig({
  publicDir: false,
  plugins: [svelte({ configFile: false, preprocess: vitePreprocess(), compilerOptions: { css: 'injected' } }), words()],
  build: {
    outDir: fileURLToPath(new URL('../hub/web/dist/player', import.meta.url)),
    emptyOutDir: true,
    target: ['chrome111', 'firefox115', 'safari16.4'],
    lib: { entry: fileURLToPath(new URL('./player/src/element.svelte.ts', import.meta.url)), formats: ['es'], fileName: () => 'camhub-player.js' },
    reportCompressedSize: false,
  },
});

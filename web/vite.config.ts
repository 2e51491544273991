import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Both subsets of the text face are asked for at once: with one missing, a Vietnamese word shows two typefaces. */
function preloadFonts(): Plugin {
  return {
    name: 'preload-fonts',
    transformIndexHtml: {
      order: 'post',
      handler(_html, { bundle }) {
        return Object.keys(bundle ?? {})
          .filter((name) => /inter-(latin|vietnamese)-wght-normal.*\.woff2$/.test(name))
          .map((name) => ({
            tag: 'link',
            attrs: { rel: 'preload', as: 'font', type: 'font/woff2', href: `/${name}`, crossorigin: '' },
            injectTo: 'head' as const,
          }));
      },
    },
  };
}

/** The licence texts of everything that ends up in the built files, beside them. */
function licences(): Plugin {
  const shipped = ['svelte', 'clsx', 'esm-env', '@lucide/svelte', '@fontsource-variable/inter', '@fontsource-variable/jetbrains-mono'];
  return {
    name: 'licences',
    apply: 'build',
    generateBundle() {
      const texts = shipped.map((name) => {
        const folder = new URL(`./node_modules/${name}/`, import.meta.url);
        const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
        if (!file) throw new Error(`${name} has no licence file`);
        const { version } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as { version: string };
        return `${name} ${version}\n\n${readFileSync(new URL(file, folder), 'utf8').trim()}\n`;
      });
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: texts.join(`\n${'-'.repeat(80)}\n\n`) });
    },
  };
}

// The built pages go into the Python package, which the wheel carries; the hub serves them from its own origin.
export default defineConfig({
  plugins: [svelte(), preloadFonts(), licences()],
  build: {
    outDir: fileURLToPath(new URL('../hub/web/dist', import.meta.url)),
    emptyOutDir: true,
    target: ['chrome111', 'firefox115', 'safari16.4'],
    assetsInlineLimit: 0, // the hub's content security policy allows no data: fonts or scripts
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    fs: { allow: ['..'] },
    proxy: {
      '/api': { target: process.env.CAMHUB_URL ?? 'http://127.0.0.1:8080', changeOrigin: false },
    },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
});

"""The built browser pages: `dist/` is made from `web/` by `npm run build` and packaged in the wheel.

Nothing is imported from here; the API serves the files of `dist/` and answers every other page address
with `dist/index.html`, which finds its own way. A checkout without a build has no `dist/`.
"""

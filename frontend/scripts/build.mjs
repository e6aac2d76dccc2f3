// Builds dist/: one module per source, so that bundlers keep what is used and `use client` stays.
// DEMO: where the sandbox's copy goes.

import { spawnSync } from 'node:child_process'
import { copyFileSync, rmSync } from 'node:fs'
import { build } from 'esbuild'

rmSync('dist', { recursive: true, force: true })
const { status } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.'], {
  stdio: 'inherit',
})
if (status) process.exit(status)
copyFileSync('src/react/style.css', 'dist/react/style.css')

// The core as one file, for a page without a bundler; the sandbox's own page uses it, so that
// `make sandbox` needs no Node.
const whole = { entryPoints: ['src/index.ts'], bundle: true, format: 'esm', target: 'es2022' }
await build({ ...whole, minify: true, sourcemap: true, outfile: 'dist/portal-service.js' })
await build({
  ...whole,
  charset: 'utf8',
  banner: { js: '// Made of frontend/src by `make frontend`: change it there.' },
  outfile: process.env.DEMO ?? '../sandbox/demo/portal-service.js',
})

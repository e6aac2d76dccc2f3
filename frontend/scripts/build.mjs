// Builds dist/: one module per source, so that bundlers keep what is used and `use client` stays.

import { spawnSync } from 'node:child_process'
import { copyFileSync, rmSync } from 'node:fs'

rmSync('dist', { recursive: true, force: true })
const { status } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.'], {
  stdio: 'inherit',
})
if (status) process.exit(status)
copyFileSync('src/react/style.css', 'dist/react/style.css')

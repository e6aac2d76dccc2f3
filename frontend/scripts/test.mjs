// Starts the sandbox, with the real service in it, and runs the tests against that.
// PYTHON: one that has the sandbox's packages; by default that of `make`.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const python = process.env.PYTHON ?? (existsSync('../.venv/bin/python') ? '../.venv/bin/python' : 'python3')
const data = mkdtempSync(join(tmpdir(), 'sandbox-'))
const sandbox = spawn(python, ['-m', 'sandbox'], {
  cwd: '..',
  env: { ...process.env, SANDBOX_PORT: '0', SANDBOX_DATA: data },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const url = await new Promise((resolve, reject) => {
  let said = ''
  sandbox.stdout.on('data', (chunk) => {
    said += chunk
    const found = /The sandbox is at +(http:\/\/\S+)/.exec(said)
    if (found) resolve(found[1])
  })
  sandbox.on('exit', (code) => reject(new Error(`the sandbox ended at its start (${code}): ${said}`)))
})
const wanted = process.argv.slice(2)
const files = wanted.length
  ? wanted
  : readdirSync('test').filter((name) => name.endsWith('.test.mjs')).map((name) => `test/${name}`)
// One file after the other: what goes wrong in the sandbox goes wrong for all.
const tests = spawn(process.execPath, ['--test', '--test-concurrency=1', ...files], {
  env: { ...process.env, SANDBOX_URL: url },
  stdio: 'inherit',
})
const code = await new Promise((resolve) => tests.on('exit', resolve))
sandbox.removeAllListeners('exit')
const gone = new Promise((resolve) => sandbox.on('exit', resolve))
sandbox.kill('SIGINT')
await gone
rmSync(data, { recursive: true, force: true })
process.exit(code ?? 1)

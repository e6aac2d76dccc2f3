// Holds what is built to its promises: types of the contract, version, sizes, exports.

import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/** Bytes gzipped, of what a page bundles for these names. */
const BUDGETS = [
  ['{ createBilling, BillingError }', 'portal-service', 3_000],
  ['{ describe, explain, formatPrice }', 'portal-service', 4_000],
  ['*', 'portal-service', 5_500],
  ['*', 'portal-service/words/de', 2_500],
  ['*', 'portal-service/react', 10_000],
  ['*', 'portal-service/server', 3_500],
]
const problems = []

function run(name, ...args) {
  const { status, stdout, stderr } = spawnSync(`node_modules/.bin/${name}`, args, { encoding: 'utf8' })
  if (status) problems.push(`${name}: ${stdout}${stderr}`)
  return stdout
}

async function sizes() {
  for (const [names, entry, budget] of BUDGETS) {
    const source = names === '*' ? `export * from '${entry}'` : `export ${names} from '${entry}'`
    const bundle = await build({
      stdin: { contents: source, resolveDir: process.cwd() },
      bundle: true,
      minify: true,
      write: false,
      format: 'esm',
      target: 'es2022',
      external: ['react', 'react/jsx-runtime'],
      logLevel: 'silent',
    })
    const bytes = gzipSync(bundle.outputFiles[0].contents, { level: 9 }).length
    console.log(`${String(bytes).padStart(6)} of ${String(budget).padEnd(6)} ${entry} ${names}`)
    if (bytes > budget) problems.push(`${entry} ${names} is ${bytes} bytes gzipped, of ${budget}`)
  }
}

function typesAreTheContracts() {
  const generated = run('openapi-typescript', '../portal_service/openapi.json')
  if (generated !== readFileSync('src/openapi.ts', 'utf8')) {
    problems.push('src/openapi.ts is not what openapi.json says: npm run types')
  }
}

/** `npm run build` has just written it; Git knows whether it was so before. */
function sandboxesCopyIsCommitted() {
  const copy = '../sandbox/demo/portal-service.js'
  const { status } = spawnSync('git', ['diff', '--quiet', '--', copy])
  if (status === 1) problems.push(`${copy} has changed: commit it with frontend/src`)
}

function versionIsTheServices() {
  const [, service] = /__version__ = "([^"]+)"/.exec(readFileSync('../portal_service/__init__.py', 'utf8'))
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  const inNpmsWay = service.replace(/\.dev(\d+)$/, '-dev.$1')
  if (version !== inNpmsWay) problems.push(`package.json has ${version}, the service ${inNpmsWay}`)
}

function clientModulesSaySo() {
  for (const file of readdirSync('dist/react').filter((name) => name.endsWith('.js'))) {
    const source = readFileSync(`dist/react/${file}`, 'utf8')
    const says = source.startsWith("'use client'")
    if (says !== /from 'react|from '\.\/(provider|hooks|buttons|cards)/.test(source)) {
      problems.push(`dist/react/${file}: 'use client' stands where React is used, at the top`)
    }
  }
}

typesAreTheContracts()
sandboxesCopyIsCommitted()
versionIsTheServices()
clientModulesSaySo()
run('redocly', 'lint', '../portal_service/openapi.json')
run('spectral', 'lint', '--fail-severity', 'error', '../portal_service/openapi.json')
run('publint', '--strict')
run('attw', '--pack', '.', '--profile', 'esm-only', '--exclude-entrypoints', './react/style.css')
await sizes()
if (problems.length) {
  console.error(problems.join('\n'))
  process.exit(1)
}
console.log('What is built keeps its promises.')

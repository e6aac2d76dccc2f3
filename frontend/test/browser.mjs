// A browser's document around React, and what a person does in it.

import { JSDOM } from 'jsdom'

const dom = new JSDOM('<!doctype html><div id="root"></div>', { url: 'http://localhost:3000/account', pretendToBeVisual: true })
const { window } = dom
for (const name of ['window', 'document', 'navigator', 'location', 'history', 'addEventListener', 'removeEventListener']) {
  const value = name === 'window' ? window : window[name]
  Object.defineProperty(globalThis, name, {
    value: typeof value === 'function' ? value.bind(window) : value,
    configurable: true,
    writable: true,
  })
}

const { createElement: h } = await import('react')
const { flushSync } = await import('react-dom')
const { createRoot, hydrateRoot } = await import('react-dom/client')
const { until } = await import('./sandbox.mjs')

export { h, window }

/** What a person does, and what the page shows right after it. */
export const act = (work) => flushSync(work)

let root

export async function show(element, address = '/account') {
  await leavePage()
  window.history.replaceState(null, '', address)
  root = createRoot(document.getElementById('root'))
  act(() => root.render(element))
}

export const rerender = (element) => act(() => root.render(element))

/** Begin with what a server rendered; gives what React complained about. */
export async function hydrate(html, element) {
  await leavePage()
  const complaints = []
  document.getElementById('root').innerHTML = html
  act(() => {
    root = hydrateRoot(document.getElementById('root'), element, {
      onRecoverableError: (error) => complaints.push(String(error)),
    })
  })
  return complaints
}

export async function leavePage() {
  if (root) act(() => root.unmount())
  root = undefined
  document.getElementById('root').innerHTML = ''
}

export const text = () => document.getElementById('root').textContent

/** Waits until the page has this text, or until it is so. */
export const sees = (look) => until(() => (typeof look === 'string' ? text().includes(look) : look()))

export const button = (name, nth = 0) =>
  [...document.querySelectorAll('button')].filter((each) => each.textContent === name)[nth]

export const press = (name, nth) => act(() => button(name, nth).click())

export const comesBack = (persisted) =>
  act(() => {
    const event = new window.Event('pageshow')
    Object.defineProperty(event, 'persisted', { value: persisted })
    window.dispatchEvent(event)
  })

// The package's client, and a note of each call for the list of calls.

import { createBilling } from './portal-service.js'

/**
 * url: the service with its prefix. getToken: Clerk's. onCall: told of each call once it is over.
 */
export function connect(url, getToken, onCall) {
  return createBilling({ url, getToken, fetch: noted })

  async function noted(to, init) {
    const started = performance.now()
    const { pathname } = new URL(to)
    const path = pathname.slice(new URL(url).pathname.length)
    const sent = init.body ? JSON.parse(init.body) : undefined
    const done = (result) =>
      onCall({ method: init.method, path, sent, ms: Math.round(performance.now() - started), ...result })
    try {
      const response = await fetch(to, init)
      const answer = await response.clone().json().catch(() => null)
      const requestId = response.headers.get('X-Request-ID')
      done({ status: response.status, code: answer?.code, requestId })
      return response
    } catch (error) {
      done({ code: init.signal.aborted ? 'timeout' : 'unreachable' })
      throw error
    }
  }
}

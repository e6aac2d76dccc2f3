// The client of the service, as any frontend could have it: a token per call, one answer or one error.

const PATIENCE_MS = 20_000 // more than the service ever takes

export class BillingError extends Error {
  constructor(code, { status, requestId, retryAfter } = {}) {
    super(code)
    Object.assign(this, { code, status, requestId, retryAfter })
  }
}

/**
 * url: the service with its prefix, such as https://billing.example.com/api/stripe
 * getToken: Clerk's. A session token lives for a minute, so it is asked before each call.
 * onCall: told of each call once it is over.
 */
export function connect(url, getToken, onCall = () => {}) {
  async function call(path, body) {
    let answer = await send(path, body, await getToken())
    // The token may have expired on its way: one fresh one before giving up.
    if (answer.status === 401) answer = await send(path, body, await getToken({ skipCache: true }))
    if (answer.ok) return answer.body
    throw new BillingError(answer.body?.code ?? 'internal_error', answer)
  }

  async function send(path, body, token) {
    const method = body ? 'POST' : 'GET'
    const started = performance.now()
    const done = (result) => onCall({ method, path, sent: body, ms: Math.round(performance.now() - started), ...result })
    try {
      const response = await fetch(url + path, {
        method,
        headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(PATIENCE_MS),
      })
      const answer = {
        ok: response.ok,
        status: response.status,
        body: await response.json().catch((error) => { if (response.ok) throw error }),
        requestId: response.headers.get('X-Request-ID'),
        retryAfter: Number(response.headers.get('Retry-After')) || undefined,
      }
      done({ status: answer.status, code: answer.body?.code, requestId: answer.requestId })
      return answer
    } catch (error) {
      const code = { TimeoutError: 'timeout', SyntaxError: 'internal_error' }[error.name] ?? 'unreachable'
      done({ code })
      throw new BillingError(code)
    }
  }

  return {
    status: () => call('/subscription'),
    refresh: (checkoutSession) => call('/subscription/refresh', { checkout_session_id: checkoutSession }),
    checkout: (plan) => call('/checkout', { plan }),
    portal: (flow) => call('/portal', flow ? { flow } : {}),
  }
}

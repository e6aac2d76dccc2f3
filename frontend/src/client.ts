// The calls of the service, each with its deadline, its one retry, and one kind of error.

import { BillingError } from './error.js'
import type {
  CheckoutRequest,
  PlanList,
  PortalRequest,
  SessionUrl,
  Subscription,
} from './types.js'

export interface BillingOptions {
  /**
   * The service with its prefix, such as `https://billing.example.com/api/stripe`; or a path, where
   * the app passes it on to the service. `/api/stripe` by default.
   */
  url?: string
  /**
   * Clerk's: the session token for each call. Without it Clerk's cookie counts, which needs the
   * app's own origin.
   */
  getToken?: GetToken | undefined
  fetch?: typeof fetch | undefined
  /** For a whole call, its token and its retry included. 20 s, more than the service ever takes. */
  timeoutMs?: number
}

export type GetToken = (options?: { skipCache?: boolean }) => Promise<string | null>

export interface CallOptions {
  /** Ends the call; it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

export interface Billing {
  /** What to show the caller. */
  subscription(options?: CallOptions): Promise<Subscription>
  /** The same after asking Stripe; the id is that of the success URL. */
  refresh(checkoutSessionId?: string | null, options?: CallOptions): Promise<Subscription>
  /** What is for sale. Needs nobody signed in. */
  plans(options?: CallOptions): Promise<PlanList>
  /** The page where a plan is bought: send the browser there at once. */
  checkout(request?: CheckoutRequest, options?: CallOptions): Promise<SessionUrl>
  /** The page where billing is managed: send the browser there at once. */
  portal(request?: PortalRequest, options?: CallOptions): Promise<SessionUrl>
}

interface Call {
  path: string
  /** A call with a body is a POST. */
  body?: object
  /** A field that the answer has to have: else somebody else answered. */
  has: string
  anyone?: boolean
}

export function createBilling(options: BillingOptions = {}): Billing {
  const ask = <T>(call: Call, more: CallOptions = {}) =>
    withDeadline<T>(options.timeoutMs ?? 20_000, more.signal, (until) => run<T>(options, call, until))
  return {
    subscription: (more) => ask({ path: '/subscription', has: 'subscribed' }, more),
    refresh: (id, more) => {
      const body = id ? { checkout_session_id: id } : {}
      return ask({ path: '/subscription/refresh', body, has: 'subscribed' }, more)
    },
    plans: (more) => ask({ path: '/plans', has: 'plans', anyone: true }, more),
    checkout: (body = {}, more) => ask({ path: '/checkout', body, has: 'url' }, more),
    portal: (body = {}, more) => ask({ path: '/portal', body, has: 'url' }, more),
  }
}

interface Until {
  signal: AbortSignal
  at: number
}

/** Let the work take so long at most, whatever it waits for. */
async function withDeadline<T>(
  ms: number,
  signal: AbortSignal | undefined,
  work: (until: Until) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const controller = new AbortController()
  const stopped = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason))
  })
  const timer = setTimeout(() => controller.abort(new BillingError('timeout')), ms)
  const stop = () => controller.abort(signal?.reason)
  signal?.addEventListener('abort', stop)
  try {
    return await Promise.race([work({ signal: controller.signal, at: Date.now() + ms }), stopped])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

async function run<T>(options: BillingOptions, call: Call, until: Until): Promise<T> {
  const token = call.anyone ? undefined : await tokenOf(options)
  try {
    return await send<T>(options, call, token, until)
  } catch (error) {
    if (!(error instanceof BillingError)) throw error
    if (error.status === 401 && token) {
      // It may have expired on its way, or while the page slept: one fresh one.
      return send<T>(options, call, await tokenOf(options, { skipCache: true }), until)
    }
    const pause = (error.retryAfter ?? 1) * 1000
    if (error.status === 503 && !call.body && Date.now() + pause < until.at) {
      await sleep(pause, until.signal)
      return send<T>(options, call, token, until)
    }
    throw error
  }
}

/** undefined where the cookie counts. */
async function tokenOf(
  { getToken }: BillingOptions,
  how?: { skipCache: boolean },
): Promise<string | undefined> {
  if (!getToken) return undefined
  let token
  try {
    token = await getToken(how)
  } catch (cause) {
    if (cause instanceof BillingError) throw cause // the app's own words for it
    throw new BillingError('timeout', { cause }) // Clerk's, when it can't reach its server
  }
  if (!token) throw new BillingError('unauthorized')
  return token
}

async function send<T>(
  options: BillingOptions,
  call: Call,
  token: string | undefined,
  { signal }: Until,
): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (token) headers.Authorization = `Bearer ${token}`
  if (call.body) headers['Content-Type'] = 'application/json'
  const url = (options.url ?? '/api/stripe').replace(/\/+$/, '') + call.path
  const body = call.body ? JSON.stringify(call.body) : null
  let response
  try {
    response = await (options.fetch ?? fetch)(url, {
      method: call.body ? 'POST' : 'GET',
      headers,
      body,
      signal,
    })
  } catch (cause) {
    signal.throwIfAborted()
    throw new BillingError('unreachable', { cause })
  }
  return answerOf<T>(response, call.has)
}

async function answerOf<T>(response: Response, has: string): Promise<T> {
  const answer = await response.json().catch(() => null)
  const said: Record<string, unknown> = answer && typeof answer === 'object' ? answer : {}
  if (response.ok && has in said) return said as T
  const { status } = response
  const code = !response.ok && typeof said.code === 'string' ? said.code : 'bad_answer'
  throw new BillingError(code, {
    message: text(said.error),
    status,
    requestId: response.headers.get('X-Request-ID') ?? text(said.request_id),
    retryAfter: Number(response.headers.get('Retry-After')) || undefined,
  })
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined)

const sleep = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => clearTimeout(timer))
  })

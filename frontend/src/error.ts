import type { AnyErrorCode } from './types.js'

const TEMPORARY = new Set<string>([
  'rate_limited',
  'stripe_unavailable',
  'database_unavailable',
  'clerk_unavailable',
  'unreachable',
  'timeout',
])

export interface BillingErrorDetails {
  /** The service's own sentence, in English. */
  message?: string | undefined
  status?: number | undefined
  requestId?: string | undefined
  /** Seconds after which trying again can help. */
  retryAfter?: number | undefined
  cause?: unknown
}

/** Every failure of a call. The code is for programs, `explain` has words for people. */
export class BillingError extends Error {
  override readonly name = 'BillingError'
  readonly code: AnyErrorCode
  /** Of the answer; undefined where there was none. */
  readonly status: number | undefined
  /** What to tell whoever can look into the service's log. */
  readonly requestId: string | undefined
  readonly retryAfter: number | undefined
  /** Whether the same call may succeed later, with nothing changed. */
  readonly temporary: boolean

  constructor(code: AnyErrorCode, details: BillingErrorDetails = {}) {
    super(details.message ?? code, details.cause === undefined ? {} : { cause: details.cause })
    this.code = code
    this.status = details.status
    this.requestId = details.requestId
    this.retryAfter = details.retryAfter
    // A proxy's own 502 goes away; a page of the app's in the place of the service does not.
    this.temporary = TEMPORARY.has(code) || (code === 'bad_answer' && (details.status ?? 0) >= 500)
  }
}

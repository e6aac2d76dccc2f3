// Something that is asked for, kept, and asked for again; components watch it. Knows no React.

import { BillingError } from '../error.js'

export interface Snapshot<T> {
  /** The last answer; undefined until there is one. */
  readonly data: T | undefined
  /** Of the last question, where it failed; the data is then an older one. */
  readonly error: BillingError | undefined
  /** Whether the first answer is still awaited. */
  readonly loading: boolean
}

export interface Resource<T> {
  snapshot(): Snapshot<T>
  /** What a server rendered, and so what the browser begins with. */
  first(): Snapshot<T>
  watch(listener: () => void): () => void
  /** Ask unless it is known, or asked for. */
  need(): void
  /** Ask anew; only the newest question's answer counts. */
  reload(): Promise<void>
  /** Ask anew where somebody watches and the last answer is older. */
  renew(olderThanMs: number): void
}

const TRY_AGAIN_MS = 5_000

export function createResource<T>(ask: () => Promise<T>, initial?: T): Resource<T> {
  const first: Snapshot<T> = { data: initial, error: undefined, loading: initial === undefined }
  const listeners = new Set<() => void>()
  let now = first
  let newest = 0
  let asking = false
  let askedAt = initial === undefined ? -Infinity : Date.now()
  let nextTry: ReturnType<typeof setTimeout> | undefined

  function become(next: Snapshot<T>) {
    now = next
    for (const listener of listeners) listener()
  }

  async function reload(): Promise<void> {
    const mine = ++newest
    clearTimeout(nextTry)
    asking = true
    askedAt = Date.now()
    try {
      const data = await ask()
      if (mine === newest) become({ data, error: undefined, loading: false })
    } catch (cause) {
      if (mine !== newest) return
      const error =
        cause instanceof BillingError ? cause : new BillingError('internal_error', { cause })
      become({ data: now.data, error, loading: false })
      if (error.temporary) scheduleNextTry(error)
    } finally {
      if (mine === newest) asking = false
    }
  }

  function scheduleNextTry(error: BillingError) {
    const pause = error.retryAfter ? error.retryAfter * 1000 : TRY_AGAIN_MS
    nextTry = setTimeout(() => listeners.size > 0 && void reload(), pause)
  }

  return {
    snapshot: () => now,
    first: () => first,
    watch(listener) {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) clearTimeout(nextTry)
      }
    },
    need() {
      if (!asking && (now.data === undefined || now.error)) void reload()
    },
    reload,
    renew(olderThanMs) {
      if (listeners.size > 0 && !asking && Date.now() - askedAt > olderThanMs) void reload()
    },
  }
}

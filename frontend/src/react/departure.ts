// Leaving for a page of Stripe's: once, whatever is pressed meanwhile. Knows no React.

import { BillingError } from '../error.js'
import type { SessionUrl } from '../types.js'

export interface Departing {
  /** The button that leads away, where one does. */
  readonly by: string | undefined
  readonly error: BillingError | undefined
  /** The button whose press failed. */
  readonly failed: string | undefined
}

export interface Departure {
  snapshot(): Departing
  watch(listener: () => void): () => void
  /** Ask for a page and go there; nothing while another button leads away. */
  leave(by: string, ask: () => Promise<SessionUrl>): Promise<void>
  /** The page is here still, or again: let buttons work. */
  settle(): void
  dismiss(): void
}

// A browser that has not left by then won't: buttons must not be dead for ever.
const LEFT_BY_MS = 15_000
const HERE: Departing = { by: undefined, error: undefined, failed: undefined }

export function createDeparture(
  navigate: (url: string) => void,
  onError: (error: BillingError) => void,
): Departure {
  const listeners = new Set<() => void>()
  let now = HERE
  let lateness: ReturnType<typeof setTimeout> | undefined

  function become(next: Departing) {
    now = next
    for (const listener of listeners) listener()
  }

  function settle() {
    clearTimeout(lateness)
    become(HERE)
  }

  return {
    snapshot: () => now,
    watch(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async leave(by, ask) {
      if (now.by !== undefined) return
      const mine: Departing = { ...HERE, by }
      become(mine)
      try {
        const { url } = await ask()
        if (now !== mine) return
        lateness = setTimeout(settle, LEFT_BY_MS)
        navigate(url)
      } catch (cause) {
        if (now !== mine) return
        const error =
          cause instanceof BillingError ? cause : new BillingError('internal_error', { cause })
        become({ by: undefined, error, failed: by })
        onError(error)
      }
    },
    settle,
    dismiss: () => now.error && settle(),
  }
}

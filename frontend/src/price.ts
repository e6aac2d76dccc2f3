// Amounts in words. Stripe gives them in the currency's smallest unit.

import { fill } from './describe.js'
import type { Price } from './types.js'
import { english } from './words/en.js'
import type { Words } from './words/words.js'

/** Where Stripe's smallest unit is not that of ISO 4217 (docs.stripe.com/currencies). */
const STRIPES_DIGITS: Record<string, number> = { isk: 2, ugx: 2, mga: 0 }

export interface FormatOptions {
  words?: Words | undefined
  /** One of `currency_options`; the price's own where it is not sold in it. */
  currency?: string | undefined
}

/** `{ amount: '$19', per: 'per month' }`; the amount is null for tiers, which have no one amount. */
export function formatPrice(
  price: Price,
  { words = english, currency: wanted = price.currency }: FormatOptions = {},
): { amount: string | null; per: string } {
  const option = price.currency_options[wanted]
  const currency = option ? wanted : price.currency
  const { amount, amount_decimal } = option ?? price
  const exact = amount ?? (amount_decimal === null ? null : Number(amount_decimal))
  const [one, many] = words.per[price.interval]
  const n = price.interval_count
  return {
    amount: exact === null ? null : money(exact, currency, words.locale),
    per: n === 1 ? one : fill(many, { n }),
  }
}

function money(amount: number, currency: string, locale: string): string {
  const style = { style: 'currency', currency: currency.toUpperCase() } as const
  const usual = new Intl.NumberFormat(locale, style).resolvedOptions().maximumFractionDigits ?? 2
  const value = amount / 10 ** (STRIPES_DIGITS[currency] ?? usual)
  // Whole amounts as people write them on a pricing page; fractions of a cent as they are.
  const digits = Number.isInteger(value)
    ? { minimumFractionDigits: 0 }
    : { minimumFractionDigits: usual, maximumFractionDigits: Math.max(usual, 12) }
  return new Intl.NumberFormat(locale, { ...style, ...digits }).format(value)
}

// What the service takes and answers, under short names. Generated from its openapi.json.

import type { components } from './openapi.js'

type Schemas = components['schemas']

export type Subscription = Schemas['Subscription']
export type SubscriptionStatus = Schemas['SubscriptionStatus']
export type PausedReason = Schemas['PausedReason']
export type PlanList = Schemas['PlanList']
export type Plan = Schemas['Plan']
export type Price = Schemas['Price']
export type Interval = Price['interval']
export type CheckoutRequest = Schemas['CheckoutRequest']
export type PortalRequest = Schemas['PortalRequest']
export type Flow = NonNullable<PortalRequest['flow']>
export type SessionUrl = Schemas['SessionUrl']

/** What can go wrong before the service has answered, or instead of it. */
export type ClientErrorCode = 'unreachable' | 'timeout' | 'bad_answer'

/** The codes that a frontend can meet. */
export type ErrorCode =
  | Exclude<Schemas['ErrorBody']['code'], 'invalid_signature' | 'invalid_payload'>
  | ClientErrorCode

/** A newer service may have codes that this version does not know; they are plain text. */
export type AnyErrorCode = ErrorCode | (string & {})

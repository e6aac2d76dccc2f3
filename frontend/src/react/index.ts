'use client'

export { BillingProvider, useBilling } from './provider.js'
export type { BillingContext, BillingProviderProps } from './provider.js'
export { useLeave, usePlans, useSubscription } from './hooks.js'
export type { UseLeave, UsePlans, UseSubscription } from './hooks.js'
export { LeavingButton, ManageBillingButton, Problem, UpgradeButton } from './buttons.js'
export type {
  LeavingButtonProps,
  ManageBillingButtonProps,
  ProblemProps,
  UpgradeButtonProps,
} from './buttons.js'
export { PaymentProblem, SubscriptionCard } from './cards.js'
export type { SubscriptionCardProps } from './cards.js'
export { PricingTable } from './pricing-table.js'
export type { PricingTableProps } from './pricing-table.js'

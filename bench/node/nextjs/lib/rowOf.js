// A snapshot of a subscription -> the tutorial's columns. The period stands with the item today.
import { PRICE } from "./vendors.js";

export function rowOf(subscription) {
  const item = subscription.items.data[0];
  return {
    stripe_subscription_id: subscription.id,
    stripe_customer_id: subscription.customer,
    status: subscription.status,
    plan: item?.price.id === PRICE ? "pro" : "free",
    current_period_end: new Date(item.current_period_end * 1000).toISOString(),
    updated_at: new Date().toISOString(),
  };
}

// Made of frontend/src by `make frontend`: change it there.

// src/error.ts
var TEMPORARY = /* @__PURE__ */ new Set([
  "rate_limited",
  "stripe_unavailable",
  "database_unavailable",
  "clerk_unavailable",
  "unreachable",
  "timeout"
]);
var BillingError = class extends Error {
  name = "BillingError";
  code;
  /** Of the answer; undefined where there was none. */
  status;
  /** What to tell whoever can look into the service's log. */
  requestId;
  retryAfter;
  /** Whether the same call may succeed later, with nothing changed. */
  temporary;
  constructor(code, details = {}) {
    super(details.message ?? code, details.cause === void 0 ? {} : { cause: details.cause });
    this.code = code;
    this.status = details.status;
    this.requestId = details.requestId;
    this.retryAfter = details.retryAfter;
    this.temporary = TEMPORARY.has(code) || code === "bad_answer" && (details.status ?? 0) >= 500;
  }
};

// src/client.ts
function createBilling(options = {}) {
  const ask = (call, more = {}) => withDeadline(options.timeoutMs ?? 2e4, more.signal, (until) => run(options, call, until));
  return {
    subscription: (more) => ask({ path: "/subscription", has: "subscribed" }, more),
    refresh: (id, more) => {
      const body = id ? { checkout_session_id: id } : {};
      return ask({ path: "/subscription/refresh", body, has: "subscribed" }, more);
    },
    plans: (more) => ask({ path: "/plans", has: "plans", anyone: true }, more),
    checkout: (body = {}, more) => ask({ path: "/checkout", body, has: "url" }, more),
    portal: (body = {}, more) => ask({ path: "/portal", body, has: "url" }, more)
  };
}
async function withDeadline(ms, signal, work) {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const stopped = new Promise((_, reject) => {
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason));
  });
  const timer = setTimeout(() => controller.abort(new BillingError("timeout")), ms);
  const stop = () => controller.abort(signal?.reason);
  signal?.addEventListener("abort", stop);
  try {
    return await Promise.race([work({ signal: controller.signal, at: Date.now() + ms }), stopped]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}
async function run(options, call, until) {
  const token = call.anyone ? void 0 : await tokenOf(options);
  try {
    return await send(options, call, token, until);
  } catch (error) {
    if (!(error instanceof BillingError)) throw error;
    if (error.status === 401 && token) {
      return send(options, call, await tokenOf(options, { skipCache: true }), until);
    }
    const pause = (error.retryAfter ?? 1) * 1e3;
    if (error.status === 503 && !call.body && Date.now() + pause < until.at) {
      await sleep(pause, until.signal);
      return send(options, call, token, until);
    }
    throw error;
  }
}
async function tokenOf({ getToken }, how) {
  if (!getToken) return void 0;
  let token;
  try {
    token = await getToken(how);
  } catch (cause) {
    if (cause instanceof BillingError) throw cause;
    throw new BillingError("timeout", { cause });
  }
  if (!token) throw new BillingError("unauthorized");
  return token;
}
async function send(options, call, token, { signal }) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (call.body) headers["Content-Type"] = "application/json";
  const url = (options.url ?? "/api/stripe").replace(/\/+$/, "") + call.path;
  const body = call.body ? JSON.stringify(call.body) : null;
  let response;
  try {
    response = await (options.fetch ?? fetch)(url, {
      method: call.body ? "POST" : "GET",
      headers,
      body,
      signal
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw new BillingError("unreachable", { cause });
  }
  return answerOf(response, call.has);
}
async function answerOf(response, has) {
  const answer = await response.json().catch(() => null);
  const said = answer && typeof answer === "object" ? answer : {};
  if (response.ok && has in said) return said;
  const { status } = response;
  const code = !response.ok && typeof said.code === "string" ? said.code : "bad_answer";
  throw new BillingError(code, {
    message: text(said.error),
    status,
    requestId: response.headers.get("X-Request-ID") ?? text(said.request_id),
    retryAfter: Number(response.headers.get("Retry-After")) || void 0
  });
}
var text = (value) => typeof value === "string" ? value : void 0;
var sleep = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => clearTimeout(timer));
});

// src/words/en.ts
var RELOAD = "Reload the page to get its newest version.";
var english = {
  locale: "en",
  freePlan: "Free",
  unknownPlan: "Unknown plan",
  states: {
    free: ["", "Upgrade whenever you like."],
    given: ["Given", "Nothing is charged for it."],
    active: ["Active", "Renews on {date}.", "Renews by itself."],
    trialing: ["Trial", "Free until {date}, then paid.", "Free for a while, then paid."],
    ending: ["Ending", "Ends on {date}. Until then all of it is yours.", "Ends soon."],
    payment_failed: ["Payment needed", "The last payment failed. Fix it, and {plan} goes on."],
    first_payment_failed: ["Payment needed", "The first payment failed. Pay to start {plan}."],
    paused_until_payment: ["Payment needed", "Paused until a payment arrives. Then {plan} goes on."],
    paused: ["Paused", "Nothing is charged. Resume it under Manage billing."],
    ended: ["Ended", "Your subscription ended on {date}.", "Your subscription has ended."],
    never_began: ["Never began", "The first payment did not come, so nothing was charged."],
    unknown_plan: ["Problem", "You pay for a plan that we can’t name. Write to us: we mend it."],
    unknown: ["Changed", "See Manage billing for what that means."]
  },
  errors: {
    unauthorized: "Your session has ended. Sign in again to go on.",
    user_not_found: "We don’t know your account yet. Finish signing up, then come back.",
    no_subscription: "There is nothing to manage yet. Choose a plan first.",
    invalid_request: "This page asked for something that can’t be. Reload it, and write to us if that does not help.",
    origin_not_allowed: "Billing can’t be used from this address. Open the app at its usual address.",
    impersonation_not_allowed: "You are signed in as somebody else. Only they can change their billing.",
    organization_required: "Billing belongs to an organization. Choose one first.",
    not_billing_admin: "Only an administrator of your organization can change its billing.",
    not_found: `The billing service does not know this page’s call. ${RELOAD}`,
    method_not_allowed: `The billing service does not take this page’s call. ${RELOAD}`,
    already_subscribed: "You have a subscription already. Change it under Manage billing, so that you don’t pay twice.",
    customer_not_found: "Stripe does not know your customer account any more. Choose a plan to get a new one, or write to us.",
    stripe_refused: "Stripe refused this, and trying again won’t help. Write to us: we look into it.",
    rate_limited: "That was a lot of clicks. Wait a moment, then try again.",
    portal_not_configured: "The billing portal is not set up yet. Write to us, and we do it.",
    checkout_not_configured: "This plan can’t be bought at the moment. Choose another one, or write to us.",
    internal_error: "Something went wrong on our side. Try again, and write to us if it stays.",
    stripe_unavailable: "Stripe does not answer at the moment. Try again in a minute.",
    database_unavailable: "We can’t look up your plan at the moment. It is safe: try again in a minute.",
    clerk_unavailable: "We can’t check who you are at the moment. Try again in a minute.",
    unreachable: "The billing service does not answer. Your plan is safe: try again in a moment.",
    timeout: "The billing service took too long to answer. Try again in a moment.",
    bad_answer: "Something else than the billing service answered. Try again, and write to us if it stays."
  },
  per: {
    day: ["per day", "every {n} days"],
    week: ["per week", "every {n} weeks"],
    month: ["per month", "every {n} months"],
    year: ["per year", "every {n} years"]
  },
  buttons: {
    upgrade: "Upgrade",
    choose: "Choose {plan}",
    startTrial: "Try {plan} for {n} days",
    switch: "Switch to {plan}",
    current: "Your plan",
    manage: "Manage billing",
    fixPayment: "Fix payment",
    tryAgain: "Try again",
    signIn: "Sign in"
  },
  leaving: "One moment: Stripe’s page is being opened.",
  loading: "Looking up your plan …",
  confirming: "Confirming your payment …",
  reference: "Reference",
  intervals: { day: "Daily", week: "Weekly", month: "Monthly", year: "Yearly" },
  howOften: "How often to pay",
  byUse: "by use",
  askForPrice: "Price depends on the quantity"
};

// src/describe.ts
var MOODS = {
  given: "good",
  active: "good",
  trialing: "good",
  ending: "warn",
  paused: "warn",
  unknown: "warn",
  payment_failed: "bad",
  first_payment_failed: "bad",
  paused_until_payment: "bad",
  unknown_plan: "bad"
};
function describe(subscription, options = {}) {
  const words = options.words ?? english;
  const state = stateOf(subscription);
  const plan = planName(subscription.plan, words, options.planNames);
  const { can_checkout: canUpgrade, can_manage_billing: customer } = subscription;
  const [label, dated, undated] = words.states[state];
  const date = dateOf(subscription, state);
  const format = { dateStyle: "long", timeZone: options.timeZone ?? "UTC" };
  const day = date && new Intl.DateTimeFormat(words.locale, format).format(new Date(date));
  return {
    plan,
    state,
    label,
    mood: MOODS[state] ?? "plain",
    sentence: fill(day ? dated : undated ?? dated, { plan, date: day ?? "" }),
    canUpgrade,
    manage: customer ? words.buttons[subscription.needs_payment ? "fixPayment" : "manage"] : null,
    flows: customer ? flowsOf(subscription) : []
  };
}
function stateOf(of) {
  switch (of.status) {
    case null:
      return of.plan === "free" ? "free" : "given";
    case "canceled":
      return "ended";
    case "incomplete_expired":
      return "never_began";
    case "past_due":
    case "unpaid":
      return "payment_failed";
    case "incomplete":
      return "first_payment_failed";
    case "paused":
      return of.needs_payment ? "paused_until_payment" : "paused";
  }
  if (of.plan === null) return "unknown_plan";
  if (endOf(of)) return "ending";
  return of.status === "active" || of.status === "trialing" ? of.status : "unknown";
}
function endOf(of) {
  return of.cancel_at ?? (of.cancel_at_period_end ? of.current_period_end : null);
}
function dateOf(of, state) {
  if (state === "ended") return of.ended_at;
  if (state === "ending") return endOf(of);
  if (state === "trialing") return of.trial_end ?? of.current_period_end;
  return of.current_period_end;
}
function flowsOf(of) {
  const flows = ["payment_method_update"];
  if (of.subscribed && of.status) flows.push("subscription_update");
  if (!of.can_checkout && of.status && !endOf(of)) flows.push("subscription_cancel");
  return flows;
}
function planName(plan, words, names = {}) {
  if (plan === null) return words.unknownPlan;
  if (plan === "free") return words.freePlan;
  return names[plan] ?? plan.charAt(0).toUpperCase() + plan.slice(1);
}
function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
var CURES = {
  unauthorized: "sign_in",
  user_not_found: "try_again",
  no_subscription: "choose_plan",
  customer_not_found: "choose_plan",
  already_subscribed: "manage",
  rate_limited: "try_again",
  internal_error: "try_again",
  stripe_unavailable: "try_again",
  database_unavailable: "try_again",
  clerk_unavailable: "try_again",
  unreachable: "try_again",
  timeout: "try_again",
  bad_answer: "try_again",
  invalid_request: "reload",
  not_found: "reload",
  method_not_allowed: "reload"
};
function explain(error, words = english) {
  const isOurs = error instanceof BillingError;
  const code = isOurs ? error.code : typeof error === "string" ? error : "";
  const known = words.errors[code];
  const own = isOurs && error.message !== error.code ? error.message : void 0;
  return {
    text: known ?? own ?? words.errors.internal_error,
    cure: CURES[code] ?? (known || own ? null : "try_again")
  };
}

// src/price.ts
var STRIPES_DIGITS = { isk: 2, ugx: 2, mga: 0 };
function formatPrice(price, { words = english, currency: wanted = price.currency } = {}) {
  const option = price.currency_options[wanted];
  const currency = option ? wanted : price.currency;
  const { amount, amount_decimal } = option ?? price;
  const exact = amount ?? (amount_decimal === null ? null : Number(amount_decimal));
  const [one, many] = words.per[price.interval];
  const n = price.interval_count;
  return {
    amount: exact === null ? null : money(exact, currency, words.locale),
    per: n === 1 ? one : fill(many, { n })
  };
}
function money(amount, currency, locale) {
  const style = { style: "currency", currency: currency.toUpperCase() };
  const usual = new Intl.NumberFormat(locale, style).resolvedOptions().maximumFractionDigits ?? 2;
  const value = amount / 10 ** (STRIPES_DIGITS[currency] ?? usual);
  const digits = Number.isInteger(value) ? { minimumFractionDigits: 0 } : { minimumFractionDigits: usual, maximumFractionDigits: Math.max(usual, 12) };
  return new Intl.NumberFormat(locale, { ...style, ...digits }).format(value);
}
export {
  BillingError,
  createBilling,
  describe,
  english,
  explain,
  formatPrice
};

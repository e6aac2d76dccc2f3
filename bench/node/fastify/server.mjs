// The tutorial's routes in Fastify: the same vendors' SDKs, Clerk's token verification without network.
import { verifyToken } from "@clerk/backend";
import { createClient } from "@supabase/supabase-js";
import Fastify from "fastify";
import Stripe from "stripe";

const { APP_URL, CLERK_JWT_KEY, STRIPE_PRICE, STRIPE_WEBHOOK_SECRET } = process.env;
const base = new URL(process.env.STRIPE_API_BASE);
const stripe = new Stripe(process.env.STRIPE_SECRET_KEY, {
  host: base.hostname, port: base.port, protocol: "http", telemetry: false,
});
const adminClient = createClient(
  process.env.SUPABASE_URL, process.env.SUPABASE_SERVICE_ROLE_KEY,
  { auth: { persistSession: false } });

async function clerkUserId(request) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  if (scheme !== "Bearer") return null;
  try {
    return (await verifyToken(token, { jwtKey: CLERK_JWT_KEY, authorizedParties: [APP_URL] })).sub;
  } catch {
    return null;
  }
}

async function first(query) {
  const { data, error } = await query.limit(1);
  if (error) throw error;
  return data[0] ?? null;
}

const userOf = (clerkId) => first(adminClient.from("users").select("id").eq("clerk_id", clerkId));
const rowOf = (userId) => first(adminClient.from("subscriptions").select("*").eq("user_id", userId));

const app = Fastify();

app.get("/healthz", () => ({ status: "ok" }));

app.post("/api/stripe/portal", async (request, reply) => {
  const clerkId = await clerkUserId(request);
  if (!clerkId) return reply.code(401).send({ error: "Unauthorized" });
  const user = await userOf(clerkId);
  if (!user) return reply.code(404).send({ error: "User not found" });
  const row = await rowOf(user.id);
  if (!row?.stripe_customer_id) return reply.code(404).send({ error: "No subscription found" });
  const session = await stripe.billingPortal.sessions.create({
    customer: row.stripe_customer_id, return_url: `${APP_URL}/dashboard`,
  });
  return { url: session.url };
});

app.get("/api/stripe/subscription", async (request, reply) => {
  const clerkId = await clerkUserId(request);
  if (!clerkId) return reply.code(401).send({ error: "Unauthorized" });
  const user = await userOf(clerkId);
  const row = user ? await rowOf(user.id) : null;
  if (!row) return { plan: "free", status: null };
  return { plan: row.plan, status: row.status, current_period_end: row.current_period_end };
});

app.post("/api/stripe/checkout", async (request, reply) => {
  const clerkId = await clerkUserId(request);
  if (!clerkId) return reply.code(401).send({ error: "Unauthorized" });
  const user = await userOf(clerkId);
  const row = user ? await rowOf(user.id) : null;
  const session = await stripe.checkout.sessions.create({
    mode: "subscription",
    line_items: [{ price: STRIPE_PRICE, quantity: 1 }],
    customer: row?.stripe_customer_id,
    client_reference_id: clerkId,
    success_url: `${APP_URL}/dashboard`,
    cancel_url: `${APP_URL}/dashboard`,
  });
  return { url: session.url };
});

app.register(async (raw) => {
  raw.addContentTypeParser("application/json", { parseAs: "string" }, (_, body, done) =>
    done(null, body));
  raw.post("/api/stripe/webhook", async (request, reply) => {
    let event;
    try {
      event = stripe.webhooks.constructEvent(
        request.body, request.headers["stripe-signature"], STRIPE_WEBHOOK_SECRET);
    } catch {
      return reply.code(400).send({ error: "Bad signature" });
    }
    if (["customer.subscription.updated", "customer.subscription.deleted"].includes(event.type)) {
      const subscription = event.data.object;
      const item = subscription.items.data[0];
      const { error } = await adminClient.from("subscriptions").upsert({
        stripe_subscription_id: subscription.id,
        stripe_customer_id: subscription.customer,
        status: subscription.status,
        plan: item?.price.id === STRIPE_PRICE ? "pro" : "free",
        current_period_end: new Date(item.current_period_end * 1000).toISOString(),
        updated_at: new Date().toISOString(),
      }, { onConflict: "stripe_subscription_id" });
      if (error) return reply.code(500).send({ error: "Database" });
    }
    return { received: true };
  });
});

await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });

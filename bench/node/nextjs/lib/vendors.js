// Both SDKs' own clients, as the tutorial makes them; for the bench their servers stand elsewhere.
import { createClient } from "@supabase/supabase-js";
import Stripe from "stripe";

const stripeBase = new URL(process.env.STRIPE_API_BASE ?? "http://127.0.0.1:1");

export const stripe = new Stripe(process.env.STRIPE_SECRET_KEY ?? "sk_test_build", {
  host: stripeBase.hostname,
  port: stripeBase.port,
  protocol: "http",
  telemetry: false,
});

export const adminClient = createClient(
  process.env.SUPABASE_URL ?? "http://127.0.0.1:1",
  process.env.SUPABASE_SERVICE_ROLE_KEY ?? "build",
  { auth: { persistSession: false } },
);

export const APP_URL = process.env.APP_URL;
export const PRICE = process.env.STRIPE_PRICE;

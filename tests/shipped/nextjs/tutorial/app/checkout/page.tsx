"use client";

// The page that the account page leads to, in the manner of the tutorial's button.

async function buy() {
  const res = await fetch("/api/stripe/checkout", { method: "POST" });
  const { url, error } = await res.json();
  if (error) throw new Error(error);
  window.location.href = url;
}

export default function CheckoutPage() {
  return <button onClick={buy}>Buy Pro</button>;
}

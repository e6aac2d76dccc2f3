"use client";

import { useState } from "react";

export function ManageBillingButton() {
  const [loading, setLoading] = useState(false);

  async function handleClick() {
    setLoading(true);
    try {
      const res = await fetch("/api/stripe/portal", { method: "POST" });
      const { url, error } = await res.json();
      if (error) throw new Error(error);
      window.location.href = url;
    } catch (err) {
      console.error(err);
      setLoading(false);
    }
  }

  return (
    <button
      onClick={handleClick}
      disabled={loading}
      className="rounded-md bg-zinc-900 px-4 py-2 text-sm font-medium text-white
        hover:bg-zinc-700 disabled:opacity-50 dark:bg-zinc-100
        dark:text-zinc-900 dark:hover:bg-zinc-300"
    >
      {loading ? "Redirecting…" : "Manage billing"}
    </button>
  );
}

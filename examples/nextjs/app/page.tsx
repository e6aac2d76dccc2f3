import Link from 'next/link'

export default function Home() {
  return (
    <>
      <h1 className="text-3xl font-semibold tracking-tight text-balance sm:text-4xl">
        Reports that write themselves
      </h1>
      <p className="mt-4 max-w-prose text-zinc-600 dark:text-zinc-400">
        An app to copy from: a pricing page, an account page, a page for subscribers, and the way
        through Stripe and back.
      </p>
      <Link
        href="/pricing"
        className="mt-8 inline-flex min-h-11 items-center rounded-lg bg-indigo-700 px-5 font-semibold text-white hover:bg-indigo-800 dark:bg-indigo-300 dark:text-zinc-950 dark:hover:bg-indigo-200"
      >
        See what it costs
      </Link>
    </>
  )
}

'use client'

import { SignInButton, SignOutButton, useAuth, useUser } from '@clerk/nextjs'
import Link from 'next/link'
import { usePathname } from 'next/navigation'

const PAGES = [
  ['/pricing', 'Pricing'],
  ['/reports', 'Reports'],
  ['/account', 'Account'],
] as const

const quiet = 'inline-flex min-h-11 cursor-pointer items-center rounded-md px-2 hover:bg-zinc-100 dark:hover:bg-zinc-800 sm:px-3'

export function Header() {
  const { isSignedIn } = useAuth() // known to the first render, unlike the name
  const { user } = useUser()
  const here = usePathname()
  return (
    <header className="border-b border-zinc-200 dark:border-zinc-800">
      <nav className="mx-auto flex max-w-4xl flex-wrap items-center gap-x-1 px-2 py-2 text-sm sm:px-4">
        <Link href="/" className={`${quiet} mr-auto basis-full text-base font-semibold sm:basis-auto`}>
          Acme Reports
        </Link>
        {PAGES.map(([href, name]) => (
          <Link
            key={href}
            href={href}
            className={`${quiet} aria-[current]:font-semibold`}
            aria-current={here === href ? 'page' : undefined}
          >
            {name}
          </Link>
        ))}
        {isSignedIn ? (
          <SignOutButton>
            <button type="button" className={quiet}>
              Sign out{user?.firstName && `, ${user.firstName}`}
            </button>
          </SignOutButton>
        ) : (
          <SignInButton>
            <button type="button" className={quiet}>
              Sign in
            </button>
          </SignInButton>
        )}
      </nav>
    </header>
  )
}

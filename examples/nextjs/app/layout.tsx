import { ClerkProvider } from '@clerk/nextjs'
import type { Metadata } from 'next'
import type { ReactNode } from 'react'
import { Header } from '@/components/header'
import './globals.css'
import 'portal-service/react/style.css'

export const metadata: Metadata = {
  title: { default: 'Acme Reports', template: '%s · Acme Reports' },
  icons: { icon: 'data:,' },
}

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body className="bg-zinc-50 text-zinc-900 antialiased dark:bg-zinc-950 dark:text-zinc-100">
        {/* dynamic: the first render knows who is signed in, so that nothing flickers. */}
        <ClerkProvider dynamic>
          <Header />
          <main className="mx-auto max-w-4xl px-4 py-10 sm:px-6">{children}</main>
        </ClerkProvider>
      </body>
    </html>
  )
}

import type { ReactNode } from 'react'

export const PageTitle = ({ children }: { children: ReactNode }) => (
  <h1 className="mb-6 text-2xl font-semibold tracking-tight text-balance">{children}</h1>
)

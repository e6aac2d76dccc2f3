import type { NextConfig } from 'next'

const service = process.env.BILLING_URL
if (!service) {
  throw new Error('BILLING_URL is not set: the address of the service, as https://billing.example.com')
}

const passedOn = {
  source: '/api/stripe/:path*',
  destination: `${service}/api/stripe/:path*`,
}

const config: NextConfig = {
  poweredByHeader: false,
  rewrites: async () => ({
    // beforeFiles: else an old app/api/stripe/**/route.ts answers in the place of the service.
    beforeFiles: process.env.NEXT_PUBLIC_BILLING_URL ? [] : [passedOn],
    afterFiles: [],
    fallback: [],
  }),
}

export default config

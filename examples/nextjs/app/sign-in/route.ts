import { auth } from '@clerk/nextjs/server'
import type { NextRequest } from 'next/server'

/** To Clerk's sign-in page, and back to the page of this app that one came from. */
export async function GET(request: NextRequest) {
  const from = request.nextUrl.searchParams.get('from') ?? ''
  const { redirectToSignIn } = await auth()
  return redirectToSignIn({ returnBackUrl: /^\/(?![/\\])/.test(from) ? from : '/' })
}

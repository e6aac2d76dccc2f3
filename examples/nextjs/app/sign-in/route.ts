import { auth } from '@clerk/nextjs/server'
import type { NextRequest } from 'next/server'

/** To Clerk's sign-in page, and back to the page of this app that one came from. */
export async function GET(request: NextRequest) {
  const { redirectToSignIn } = await auth()
  const back = new URL(request.nextUrl.searchParams.get('from') ?? '/', request.url)
  const own = back.origin === request.nextUrl.origin ? back : new URL('/', request.url)
  return redirectToSignIn({ returnBackUrl: own })
}

import { clerkMiddleware } from '@clerk/nextjs/server'

// Clerk does not read CLERK_JWT_KEY by itself. Without it keys come from Clerk, over the network.
const jwtKey = process.env.CLERK_JWT_KEY

// Who may see a page the page says itself, by auth.protect() or requirePlan().
export default clerkMiddleware(jwtKey ? { jwtKey } : {})

export const config = {
  matcher: [
    // All but files, and what is passed on to the service: that looks at tokens itself, and Stripe's
    // webhooks have none.
    '/((?!_next|api/stripe|[^?]*\\.(?:html?|css|js(?!on)|jpe?g|webp|png|gif|svg|ttf|woff2?|ico|csv|docx?|xlsx?|zip|webmanifest)).*)',
    '/(trpc)(.*)',
  ],
}

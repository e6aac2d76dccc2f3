// Clerk's middleware before every route of the API, as its quickstart has it; with the PEM key it
// verifies without any network.
import { clerkMiddleware } from "@clerk/nextjs/server";

export default clerkMiddleware({
  jwtKey: process.env.CLERK_JWT_KEY,
  authorizedParties: [process.env.APP_URL],
});

export const config = { matcher: ["/(api|trpc)(.*)"] };

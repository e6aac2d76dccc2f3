import { clerkMiddleware } from "@clerk/nextjs/server";

// Clerk reads this key from nowhere by itself; with it no token needs the network.
export default clerkMiddleware({ jwtKey: process.env.CLERK_JWT_KEY });

export const config = {
  matcher: ["/((?!_next|[^?]*\\.(?:css|js(?!on)|ico|svg|png|webmanifest)).*)", "/(api|trpc)(.*)"],
};

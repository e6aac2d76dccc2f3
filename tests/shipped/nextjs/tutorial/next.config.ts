import type { NextConfig } from "next";

const destination = `${process.env.BILLING_URL}/api/stripe/:path*`;

const config: NextConfig = {
  turbopack: { root: import.meta.dirname },
  typescript: { ignoreBuildErrors: true }, // the compiler of the example looks at types
  rewrites: async () => ({
    beforeFiles: [{ source: "/api/stripe/:path*", destination }],
    // Where those of a plain array stand: a route file of the same path wins.
    afterFiles: [{ source: "/array/api/stripe/:path*", destination }],
    fallback: [],
  }),
};

export default config;

import { NextResponse } from "next/server";

// The route that the app had before the service, left behind.
export async function POST() {
  return NextResponse.json({ error: "the old route" }, { status: 410 });
}

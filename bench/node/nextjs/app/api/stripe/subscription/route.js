import { auth } from "@clerk/nextjs/server";
import { NextResponse } from "next/server";
import { getSubscription, getUserDbId } from "../../../../lib/db.js";

export async function GET() {
  const { userId } = await auth();
  if (!userId) return NextResponse.json({ error: "Unauthorized" }, { status: 401 });
  const dbUserId = await getUserDbId(userId);
  const row = dbUserId ? await getSubscription(dbUserId) : null;
  if (!row) return NextResponse.json({ plan: "free", status: null });
  const { plan, status, current_period_end } = row;
  return NextResponse.json({ plan, status, current_period_end });
}

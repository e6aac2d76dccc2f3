export { POST } from "@/app/api/stripe/portal/route";

// What people do in Clerk's own pages: change the address, delete the account; or, where organizations
// pay, rename and delete the active one. Of the sandbox alone.

const byId = (id) => document.getElementById(id)

/** me: who does it. onDone: when Clerk has sent its webhook. */
export function offer({ me, onDone }) {
  byId('change-address').onclick = () => {
    const n = Date.now() % 10_000
    const [body, what] = me.organization
      ? [{ name: `${me.organization} ${n}` }, 'name']
      : [{ email: `${me.name}.${n}@example.com` }, 'address']
    act(body, `The ${what} is ${Object.values(body)[0]} now: the customer at Stripe gets it, if there is one.`)
  }
  byId('delete-account').onclick = () => {
    const whose = me.organization ?? me.name
    if (!confirm(`Delete ${whose} at Clerk? “Start over” brings it back.`)) return
    act({ delete: true }, `${whose} left: what runs ends with its period.`)
  }

  async function act(body, said) {
    const path = me.organization ? `organizations/${me.organization}` : `users/${me.name}`
    const response = await fetch(`/_sandbox/clerk/${path}`, { method: 'POST', body: JSON.stringify(body) })
      .catch(() => null)
    const answer = await response?.json()
    byId('clerk-news').textContent = response?.ok ? said : answer?.error ?? 'The sandbox does not answer.'
    onDone()
  }
}

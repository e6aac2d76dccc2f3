// What a user does in Clerk's own pages: change the address, delete the account. Of the sandbox alone.

const byId = (id) => document.getElementById(id)

/** me: who does it. onDone: when Clerk has sent its webhook. */
export function offer({ me, onDone }) {
  byId('change-address').onclick = () => {
    const email = `${me.name}.${Date.now() % 10_000}@example.com`
    act({ email }, `${me.name} has the address ${email} now: the customer at Stripe gets it, if there is one.`)
  }
  byId('delete-account').onclick = () => {
    if (!confirm(`Delete ${me.name}’s account at Clerk? “Start over” brings it back.`)) return
    act({ delete: true }, `${me.name} left: what runs ends with its period.`)
  }

  async function act(body, said) {
    const response = await fetch(`/_sandbox/clerk/users/${me.name}`, { method: 'POST', body: JSON.stringify(body) })
      .catch(() => null)
    const answer = await response?.json()
    byId('clerk-news').textContent = response?.ok ? said : answer?.error ?? 'The sandbox does not answer.'
    onDone()
  }
}

"""What Supabase's security and performance advisor would newly say after the upgrade.

Rules of our own words, for what matters of theirs here. A finding names its object.
"""

import psycopg

# Schemas that the API serves.
EXPOSED = "('public', 'graphql_public')"

OURS_OR_TEAMS = "!~ '^(pg_|information_schema$|auth$)'"

RULES = {
    "row level security is off": f"""
        select c.oid::regclass::text from pg_class c
        where c.relkind in ('r', 'p') and not c.relrowsecurity
          and c.relnamespace::regnamespace::text in {EXPOSED}
          and (has_table_privilege('anon', c.oid, 'select')
               or has_table_privilege('authenticated', c.oid, 'select'))""",
    "anybody can call it with its owner's rights": f"""
        select p.oid::regprocedure::text from pg_proc p
        where p.prosecdef and p.prorettype <> 'trigger'::regtype
          and p.pronamespace::regnamespace::text in {EXPOSED}
          and (has_function_privilege('anon', p.oid, 'execute')
               or has_function_privilege('authenticated', p.oid, 'execute'))""",
    "its search_path is whatever the caller's is": f"""
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace::regnamespace::text {OURS_OR_TEAMS}
          and not exists (select from unnest(p.proconfig) as setting
                          where setting like 'search_path=%')""",
    "no index serves this foreign key": f"""
        select c.conrelid::regclass || '.' || c.conname from pg_constraint c
        where c.contype = 'f' and c.connamespace::regnamespace::text {OURS_OR_TEAMS}
          and not exists (
            select from pg_index i
            where i.indrelid = c.conrelid and i.indisvalid and i.indpred is null
              and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey)""",
    "two indexes are the same": f"""
        select min(i.indexrelid::regclass::text) || ' and ' || max(i.indexrelid::regclass::text)
        from pg_index i join pg_class c on c.oid = i.indexrelid
        where c.relnamespace::regnamespace::text {OURS_OR_TEAMS}
        group by i.indrelid, c.relam, i.indkey::text, i.indclass::text, i.indcollation::text,
          i.indoption::text, i.indpred::text, i.indexprs::text, i.indnkeyatts
        having count(*) > 1""",
    "the policy asks for each row": f"""
        select p.polrelid::regclass || ': ' || p.polname
        from pg_policy p join pg_class c on c.oid = p.polrelid,
          regexp_replace(coalesce(pg_get_expr(p.polqual, p.polrelid), '')
            || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''),
            '\\(\\s*select [a-z_.]+\\([^()]*(\\([^()]*\\)[^()]*)*\\)', '', 'gi') as condition
        where c.relnamespace::regnamespace::text {OURS_OR_TEAMS}
          and condition ~* '((auth|billing_private)\\.\\w+|current_setting|billing_\\w+)\\s*\\('""",
    "it shows rows with its owner's rights": f"""
        select c.oid::regclass::text from pg_class c
        where c.relkind = 'v' and c.relnamespace::regnamespace::text in {EXPOSED}
          and (has_table_privilege('anon', c.oid, 'select')
               or has_table_privilege('authenticated', c.oid, 'select'))
          and not coalesce(array_to_string(c.reloptions, ',') ~ 'security_invoker=(on|true|1|yes)',
            false)""",
}


def advice(superuser: str) -> set[str]:
    with psycopg.connect(superuser) as connection:
        return {
            f"{found}: {rule}"
            for rule, query in RULES.items()
            for (found,) in connection.execute(query).fetchall()
        }

-- Trims one step of a stream.
--
-- ARGV: the stream, how long entries are kept in milliseconds, which groups keep entries too (their name, `*` for all,
-- '' for none), the last archived id or '' where there is no archive, most entries to remove. Answers with the number of entries removed, the id from
-- which on they stay, and for what: 'age', 'archive', or 'group' and its name.
--
-- How far it may go is worked out here, in the call that trims, so a group that is made or falls back meanwhile
-- loses nothing (L-4). With `*` every group counts, also one that is not ours. MINID leaves the entry at the bound in place,
-- so the last entry that a group was given stays; `~` removes whole nodes of the stream only.

local stream, keep, shelter, archived, most = take(5)
local key, suffix = prefix .. stream, ' ' .. stream
local oldest = math.floor(now() / 1000) - tonumber(keep)
local bound, kind, who = text(math.max(oldest, 0)) .. '-0', 'age', ''

local function counts(name)
    return shelter == '*' or shelter == name
end

local function hold(id, by, name)
    if is_later(bound, id) then
        bound, kind, who = id, by, name
    end
end

if redis.call('EXISTS', key) == 0 then
    return { 0, bound, kind, who }
end
if shelter ~= '' then
    if archived ~= '' then
        hold(archived, 'archive', '')
    end
    local present = {}
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', key)) do
        local group = {}
        for i = 1, #info, 2 do
            group[info[i]] = info[i + 1]
        end
        present[group.name .. suffix] = true
        if counts(group.name) then
            hold(group['last-delivered-id'], 'group', group.name)
            if group.pending > 0 then
                hold(redis.call('XPENDING', key, group.name)[2], 'group', group.name)
            end
        end
    end
    local registered = redis.call('HKEYS', prefix .. 'groups')
    for _, field in ipairs(registered) do
        local name = string.sub(field, 1, -#suffix - 1)
        if not present[field] and string.sub(field, -#suffix) == suffix and counts(name) then
            local cursor = string.match(redis.call('HGET', prefix .. 'cursor', field) or '', '^%S+') or '0-0'
            hold(cursor, 'group', name)
        end
    end
end
local removed = redis.call('XTRIM', key, 'MINID', '~', bound, 'LIMIT', most)
return { removed, bound, kind, who }

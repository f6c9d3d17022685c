-- Takes away groups without members.
--
-- ARGV: how long nothing was heard of a member, in milliseconds, then the streams. Answers with a row for each group
-- taken away: stream, group, the last sign of life.
--
-- A sign of life is what a member registers (`keep.lua`), or that a consumer was given anything (Redis 7.0 does not
-- count one that waits). A group that nobody registered is registered here, so that its time begins: one that was
-- made by hand ends too, but is not taken away while it is used. The cursor stays, where the group has one, and is written where it has none.

local silent, time = tonumber(take(1)), math.floor(now() / 1000)
local groups, reaped = prefix .. 'groups', {}

local function take_away(field, stream, name, seen)
    redis.call('HDEL', groups, field)
    table.insert(reaped, { stream, name, text(seen) })
end

local function keep_cursor(field, key, group)
    local last = string.match(redis.call('HGET', prefix .. 'cursor', field) or '', ' (.+)$') or '0-0'
    local cursor = group['last-delivered-id']
    if group.pending > 0 then
        cursor = before(redis.call('XPENDING', key, group.name)[2])
    else
        last = cursor
    end
    redis.call('HSET', prefix .. 'cursor', field, cursor .. ' ' .. last)
end

for _ = 2, #ARGV do
    local stream = take(1)
    local key, suffix, present = prefix .. stream, ' ' .. stream, {}
    local there = redis.call('EXISTS', key) == 1
    for _, info in ipairs(there and redis.call('XINFO', 'GROUPS', key) or {}) do
        local group = {}
        for i = 1, #info, 2 do
            group[info[i]] = info[i + 1]
        end
        local field = group.name .. suffix
        present[field] = true
        local seen = tonumber(redis.call('HGET', groups, field) or '-1')
        for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', key, group.name)) do
            for i = 1, #consumer, 2 do
                if consumer[i] == 'idle' then
                    seen = math.max(seen, time - consumer[i + 1])
                end
            end
        end
        if seen < 0 then
            redis.call('HSET', groups, field, text(time))
        elseif silent <= time - seen then
            keep_cursor(field, key, group)
            redis.call('XGROUP', 'DESTROY', key, group.name)
            take_away(field, stream, group.name, seen)
        end
    end
    for _, field in ipairs(redis.call('HKEYS', groups)) do
        if not present[field] and string.sub(field, -#suffix) == suffix then
            local seen = tonumber(redis.call('HGET', groups, field))
            if silent <= time - seen then
                take_away(field, stream, string.sub(field, 1, -#suffix - 1), seen)
            end
        end
    end
end
return reaped

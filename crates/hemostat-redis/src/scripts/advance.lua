-- Moves a group that reads along up to what it is done with, and makes it where it is missing.
--
-- ARGV: the group, then of each stream: its name, and the id up to which the group is done with it; the group is
-- registered as having a member. Answers with 1.
--
-- The group has nothing pending, so its position is its durable cursor too, and neither goes back. Where it begins is
-- as in `join.lua`: a stream that ends before the id is another one than the id speaks of. The highest id there can be
-- stands for the end of the stream.

local END = '18446744073709551615-18446744073709551615'
local group, seen = take(1), text(math.floor(now() / 1000))
for _ = 2, #ARGV, 2 do
    local stream, id = take(2)
    local key, field = prefix .. stream, group .. ' ' .. stream
    local cursor = string.match(redis.call('HGET', prefix .. 'cursor', field) or '', '^%S+') or '0-0'
    if id ~= END and is_later(id, cursor) then
        cursor = id
    end
    local exists, position = redis.call('EXISTS', key) == 1, nil
    if exists then
        local info = redis.call('XINFO', 'STREAM', key)
        for i = 1, #info, 2 do
            if info[i] == 'last-generated-id' and is_later(cursor, info[i + 1]) then
                cursor = '0-0'
            end
            if info[i] == 'last-generated-id' and id == END then
                cursor = info[i + 1]
            end
        end
        for _, row in ipairs(redis.call('XINFO', 'GROUPS', key)) do
            local fields = {}
            for i = 1, #row, 2 do
                fields[row[i]] = row[i + 1]
            end
            if fields.name == group then
                position = fields['last-delivered-id']
            end
        end
    end
    if not position then
        redis.call('XGROUP', 'CREATE', key, group, cursor, 'MKSTREAM')
        if not exists and cursor ~= '0-0' then
            redis.call('XSETID', key, cursor)
        end
    elseif is_later(cursor, position) then
        redis.call('XGROUP', 'SETID', key, group, cursor)
    else
        cursor = position
    end
    if cursor == '0-0' then
        redis.call('HDEL', prefix .. 'cursor', field)
    else
        redis.call('HSET', prefix .. 'cursor', field, cursor .. ' ' .. cursor)
    end
    redis.call('SADD', prefix .. 'streams', stream)
    redis.call('HSET', prefix .. 'groups', field, seen)
end
return 1

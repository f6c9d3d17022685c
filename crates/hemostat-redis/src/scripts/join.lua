-- Makes the groups of a role that are missing, and their streams.
--
-- ARGV: the role, then the streams; the groups are registered as having a member. Answers with the places of the streams, from 0, whose group was made.
--
-- A group begins at its durable cursor, never at the end of the stream, and at its start only where there is no
-- cursor. A stream that ends before the cursor is another one than the cursor speaks of (deleted and begun anew
-- under a clock that was set back), so all of it is unread. A new stream is made to number its entries from the
-- cursor on, whatever the clock says.

local role, made = take(1), {}
for place = 0, #ARGV - 2 do
    local stream = take(1)
    local key = prefix .. stream
    local field = role .. ' ' .. stream
    local cursor = string.match(redis.call('HGET', prefix .. 'cursor', field) or '', '^%S+') or '0-0'
    local exists = redis.call('EXISTS', key) == 1
    if exists then
        local info = redis.call('XINFO', 'STREAM', key)
        for i = 1, #info, 2 do
            if info[i] == 'last-generated-id' and is_later(cursor, info[i + 1]) then
                cursor = '0-0'
            end
        end
    end
    local answer = redis.pcall('XGROUP', 'CREATE', key, role, cursor, 'MKSTREAM')
    if not answer.err then
        table.insert(made, place)
        if cursor == '0-0' then
            redis.call('HDEL', prefix .. 'cursor', field)
        elseif not exists then
            redis.call('XSETID', key, cursor)
        end
    elseif not string.find(answer.err, 'BUSYGROUP', 1, true) then
        return answer
    end
    redis.call('SADD', prefix .. 'streams', stream)
    redis.call('HSET', prefix .. 'groups', field, text(math.floor(now() / 1000)))
end
return made

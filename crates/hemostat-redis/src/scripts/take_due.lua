-- Takes due timers under a lease.
--
-- ARGV: the role, the consumer, the lease in microseconds, most timers to take, what their members begin with.
-- Answers with member and due time of each. The score of a timer is the time from which it can be taken: its due time,
-- or the end of the lease under which it was taken; the hash keeps its due time and who took it.

local role, consumer, lease, most, begin = take(5)
local time = now()
local timers, data = prefix .. 'timers:' .. role, prefix .. 'timer:' .. role
local due, left = {}, 0
most = tonumber(most)
-- What is taken moves behind the present and out of the range; what is left to others stays at its front.
local more = true
while more and #due < 2 * most do
    local room = most - #due / 2
    local page = redis.call('ZRANGE', timers, '-inf', text(time), 'BYSCORE', 'LIMIT', left, room)
    more = #page == room
    for _, member in ipairs(page) do
        local at = string.match(redis.call('HGET', data, member) or '', '^%d+')
        if not at then
            redis.call('ZREM', timers, member)
        elseif string.sub(member, 1, #begin) == begin then
            redis.call('ZADD', timers, text(time + tonumber(lease)), member)
            redis.call('HSET', data, member, at .. ' ' .. consumer)
            table.insert(due, member)
            table.insert(due, at)
        else
            left = left + 1
        end
    end
end
return due

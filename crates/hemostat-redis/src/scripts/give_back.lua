-- Gives timers back, so that they are due at once.
--
-- ARGV: the role, then of each timer: its member, its due time, and the due time, a space, who has taken it. One that
-- somebody else has by now, or that was moved, is left alone.

local role = take(1)
local timers, data = prefix .. 'timers:' .. role, prefix .. 'timer:' .. role
for _ = 2, #ARGV, 3 do
    local member, due, held = take(3)
    if redis.call('HGET', data, member) == held then
        redis.call('ZADD', timers, due, member)
        redis.call('HSET', data, member, due)
    end
end
return 1

//! `select!` and `select_biased!`: sugar over [`Select`](super::dynamic::Select).

/// Waits for one of several channel operations, and runs the code that goes with it.
///
/// ```text
/// select! {
///     recv(receiver) -> result => code,
///     send(sender, message) -> result => code,
///     default => code,              // nothing can be done at once
///     default(timeout) => code,     // nothing could be done in time; instead of the above
/// }
/// ```
/// There may be any number of `recv` and `send` cases, also several on one channel, and at most one
/// `default`. `receiver` and `sender` are expressions of the type `Receiver<T>` or `Sender<T>` or
/// references to such; they are evaluated once each, in the order of the text, and `timeout` (a
/// [`Duration`](std::time::Duration)) after them. `message` is evaluated only if its case was
/// chosen. `result` is a pattern, for `Result<T, RecvError>` or `Result<(), SendError<T>>`: a case
/// whose channel is disconnected can be done, and gives an error. `code` may `return`, `break`, and
/// use `?`. After a block the comma may be left out.
///
/// Of several cases that can be done a random one is; exactly one is done. Blocks the thread, green
/// or not. Cost: see [`Select`](crate::channel::Select), for which this is another way of writing.
///
/// # Examples
/// ```
/// use gthread::channel::{bounded, unbounded};
/// use gthread::select;
/// use std::time::Duration;
///
/// let (s1, r1) = unbounded();
/// let (s2, r2) = bounded(1);
/// s1.send(10).unwrap();
/// select! {
///     recv(r1) -> message => assert_eq!(message, Ok(10)),
///     send(s2, 20) -> sent => {
///         assert_eq!(sent, Ok(()));
///         assert_eq!(r2.recv(), Ok(20));
///     }
/// }
/// let (_s3, r3) = unbounded::<i32>();
/// let waited = select! {
///     recv(r3) -> _ => false,
///     default(Duration::from_millis(1)) => true,
/// };
/// assert!(waited);
/// ```
///
/// A loop with an end, and a case that may be missing:
/// ```
/// use gthread::channel::{after, never, tick, Receiver};
/// use std::time::Duration;
///
/// let (ticker, end) = (tick(Duration::from_millis(1)), after(Duration::from_millis(5)));
/// let commands: Option<Receiver<()>> = None;
/// let mut ticks = 0;
/// loop {
///     gthread::select! {
///         recv(ticker) -> _ => ticks += 1,
///         recv(commands.as_ref().unwrap_or(&never())) -> _ => continue,
///         recv(end) -> _ => break,
///     }
/// }
/// assert!(ticks <= 5);
/// ```
#[macro_export]
macro_rules! select {
    ($($tokens:tt)*) => {
        $crate::channel::__gthread_select!(@start new $($tokens)*)
    };
}

/// As [`select!`], but of several cases that can be done the first in the text is.
///
/// # Examples
/// ```
/// let (s1, r1) = gthread::channel::unbounded();
/// let (s2, r2) = gthread::channel::unbounded();
/// s1.send("urgent").unwrap();
/// s2.send("idle").unwrap();
/// gthread::select_biased! {
///     recv(r1) -> message => assert_eq!(message, Ok("urgent")),
///     recv(r2) -> _ => unreachable!(),
/// }
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($tokens:tt)*) => {
        $crate::channel::__gthread_select!(@start new_biased $($tokens)*)
    };
}

// How it works: `@parse` brings the cases into one form, `{ kind (arguments) (pattern) (body) }`,
// and moves `default` aside. `@bind` evaluates the handles one by one, each in a `match` around all
// that follows, so that temporaries live as long; the identifier `handle` is another one in each
// round, by hygiene. `@choose` does the select, `@chain` finds the case that was chosen.
#[doc(hidden)]
#[macro_export]
macro_rules! __gthread_select {
    (@start $new:ident) => {
        ::core::compile_error!("empty `select!` block")
    };
    (@start $new:ident $($tokens:tt)*) => {
        $crate::channel::__gthread_select!(@parse $new () () $($tokens)*)
    };

    // All cases are read.
    (@parse $new:ident ($($cases:tt)*) $default:tt) => {
        $crate::channel::__gthread_select!(@bind $new $default (0usize) () $($cases)*)
    };
    // `default`, with a block or with an expression.
    (@parse $new:ident $cases:tt () default $(($($time:expr)? $(,)?))? => $body:block, $($rest:tt)*) => {
        $crate::channel::__gthread_select!(@parse $new $cases (($($($time)?)?) $body) $($rest)*)
    };
    (@parse $new:ident $cases:tt () default $(($($time:expr)? $(,)?))? => $body:block $($rest:tt)*) => {
        $crate::channel::__gthread_select!(@parse $new $cases (($($($time)?)?) $body) $($rest)*)
    };
    (@parse $new:ident $cases:tt () default $(($($time:expr)? $(,)?))? => $body:expr $(, $($rest:tt)*)?) => {
        $crate::channel::__gthread_select!(@parse $new $cases (($($($time)?)?) $body) $($($rest)*)?)
    };
    (@parse $new:ident $cases:tt ($($default:tt)+) default $($rest:tt)*) => {
        ::core::compile_error!("there can be only one `default` case in a `select!` block")
    };
    // `recv` and `send`, likewise.
    (@parse $new:ident ($($cases:tt)*) $default:tt $kind:ident $args:tt -> $res:pat => $body:block, $($rest:tt)*) => {
        $crate::channel::__gthread_select!(@parse $new ($($cases)* { $kind $args ($res) ($body) }) $default $($rest)*)
    };
    (@parse $new:ident ($($cases:tt)*) $default:tt $kind:ident $args:tt -> $res:pat => $body:block $($rest:tt)*) => {
        $crate::channel::__gthread_select!(@parse $new ($($cases)* { $kind $args ($res) ($body) }) $default $($rest)*)
    };
    (@parse $new:ident ($($cases:tt)*) $default:tt $kind:ident $args:tt -> $res:pat => $body:expr $(, $($rest:tt)*)?) => {
        $crate::channel::__gthread_select!(@parse $new ($($cases)* { $kind $args ($res) ($body) }) $default $($($rest)*)?)
    };
    (@parse $new:ident $cases:tt $default:tt $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected `recv(receiver) -> pattern => code`, ",
            "`send(sender, message) -> pattern => code`, `default => code` or ",
            "`default(timeout) => code`; cases are separated by commas, found: ",
            ::core::stringify!($($rest)*),
        ))
    };

    (@bind $new:ident $default:tt $index:tt ($($bound:tt)*)) => {
        $crate::channel::__gthread_select!(@choose $new $default ($($bound)*))
    };
    (@bind $new:ident $default:tt ($index:expr) ($($bound:tt)*)
        { recv ($r:expr $(,)?) $res:tt $body:tt } $($rest:tt)*) => {
        match $r {
            ref handle => {
                let handle: &$crate::channel::Receiver<_> = handle;
                $crate::channel::__gthread_select!(@bind $new $default ($index + 1)
                    ($($bound)* { ($index) recv handle () $res $body }) $($rest)*)
            }
        }
    };
    (@bind $new:ident $default:tt ($index:expr) ($($bound:tt)*)
        { send ($s:expr, $message:expr $(,)?) $res:tt $body:tt } $($rest:tt)*) => {
        match $s {
            ref handle => {
                let handle: &$crate::channel::Sender<_> = handle;
                $crate::channel::__gthread_select!(@bind $new $default ($index + 1)
                    ($($bound)* { ($index) send handle (, $message) $res $body }) $($rest)*)
            }
        }
    };
    (@bind $new:ident $default:tt $index:tt $bound:tt { $kind:ident $args:tt $res:tt $body:tt } $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected `recv(receiver)` or `send(sender, message)`, found: ",
            ::core::stringify!($kind $args),
        ))
    };

    // Nothing else: wait for ever.
    (@choose $new:ident () ($({ $index:tt $kind:ident $handle:ident $message:tt $res:tt $body:tt })*)) => {{
        let operation = {
            let mut select = $crate::channel::Select::$new();
            $(let _ = select.$kind($handle);)*
            select.select()
        };
        $crate::channel::__gthread_select!(@chain operation $({ $index $kind $handle $message $res $body })*)
    }};
    // `default`: with a time or without.
    (@choose $new:ident (($($time:expr)?) $default:expr)
        ($({ $index:tt $kind:ident $handle:ident $message:tt $res:tt $body:tt })*)) => {{
        let chosen = {
            #[allow(unused_mut)]
            let mut select = $crate::channel::Select::$new();
            $(let _ = select.$kind($handle);)*
            $crate::channel::__gthread_select!(@try select $($time)?)
        };
        match chosen {
            ::core::result::Result::Ok(operation) => $crate::channel::__gthread_select!(
                @chain operation $({ $index $kind $handle $message $res $body })*
            ),
            ::core::result::Result::Err(_) => $default,
        }
    }};

    (@try $select:ident) => {
        $select.try_select()
    };
    (@try $select:ident $time:expr) => {
        $select.select_timeout($time)
    };

    (@chain $operation:ident) => {
        ::core::unreachable!("select! has chosen an operation that is none of its cases")
    };
    (@chain $operation:ident
        { ($index:expr) $kind:ident $handle:ident ($(, $message:expr)?) ($res:pat) ($body:expr) }
        $($rest:tt)*) => {
        if $operation.index() == $index {
            let result = $operation.$kind($handle $(, $message)?);
            let $res = result;
            $body
        } else {
            $crate::channel::__gthread_select!(@chain $operation $($rest)*)
        }
    };
}

pub use {__gthread_select, select, select_biased};
